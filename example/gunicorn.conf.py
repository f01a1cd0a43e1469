"""Gunicorn's configuration for the example shop: the first three lines are slowhound's."""

import os

from slowhound.gunicorn import *

logger_class = Logger
accesslog = "-"

wsgi_app = "shop.wsgi"
bind = os.environ.get("SHOP_BIND", "127.0.0.1:8000")
workers = 2
worker_class = os.environ.get("SHOP_WORKER_CLASS", "sync")
# More than one thread would turn sync workers into gthread workers.
threads = 4 if worker_class == "gthread" else 1
timeout = 30
# The example uses only its own folders; Gunicorn would put this socket into the home folder.
control_socket_disable = True
