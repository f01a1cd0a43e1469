"""Gunicorn's gevent workers: each request is a greenlet, and all of them share one thread."""
