"""Former paths of modules; this folder is in ``slowhound.__path__`` (see ``slowhound``)."""
