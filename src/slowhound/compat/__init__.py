"""Drop-in imports for dogslow and gunicorn-django-canonical-logs."""
