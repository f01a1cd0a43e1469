from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self) -> None:
        # An instrumenter registers itself when its module is imported.
        from shop import instruments  # noqa: F401
