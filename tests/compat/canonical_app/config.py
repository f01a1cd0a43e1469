"""Gunicorn's configuration, as the README has it, and a callback for every hook."""

from gunicorn_django_canonical_logs.glogging import Logger
from gunicorn_django_canonical_logs.gunicorn_hooks import *  # noqa: F403  as the README has it
from gunicorn_django_canonical_logs.gunicorn_hooks import register_hook

accesslog = "-"
logger_class = Logger


def called(name):
    with open("hooks.txt", "a") as file:
        file.write(name + "\n")


def callback(name, parameters):
    scope = {"called": called}
    exec(f"def {name}({parameters}):\n    called('{name}')", scope)
    return scope[name]


for name, parameters in {
    "on_starting": "server",
    "on_reload": "server",
    "when_ready": "server",
    "pre_fork": "server, worker",
    "post_fork": "server, worker",
    "post_worker_init": "worker",
    "worker_int": "worker",
    "worker_abort": "worker",
    "pre_exec": "server",
    "pre_request": "worker, req",
    "post_request": "worker, req, environ, resp",
    "child_exit": "server, worker",
    "worker_exit": "server, worker",
    "nworkers_changed": "server, new_value, old_value",
    "on_exit": "server",
}.items():
    register_hook(callback(name, parameters))
