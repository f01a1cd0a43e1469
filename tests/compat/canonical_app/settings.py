"""Settings that know nothing of canonical logs."""

import os

SECRET_KEY = "of the test"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "app"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
INSTALLED_APPS = []
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.locmem.Loader",
                    {"throws.html": "first\n{% if thrower %}\n{{ thrower.throw }}\n{% endif %}"},
                )
            ]
        },
    }
]
if os.environ.get("RECORD"):
    SLOWHOUND = {"DIR": os.environ["RECORD"]}
