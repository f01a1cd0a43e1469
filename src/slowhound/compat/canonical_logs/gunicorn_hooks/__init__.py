"""All of Gunicorn's server hooks, and ``register_hook`` for an application's own."""

from slowhound.compat.canonical_logs.gunicorn_hooks.registered_hooks import *  # noqa: F403
from slowhound.compat.canonical_logs.gunicorn_hooks.registered_hooks import __all__ as _hooks
from slowhound.compat.canonical_logs.gunicorn_hooks.registry import register_hook
from slowhound.gunicorn.combine import combine_always

# slowhound's own hooks run beside these, also where the configuration imports only some of them.
combine_always()

__all__ = [*_hooks]  # noqa: PLE0604  names, taken from the module that defines them
_ = register_hook
