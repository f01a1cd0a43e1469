"""What ``slowhound doctor`` checks: the installation, DIR and this host."""
