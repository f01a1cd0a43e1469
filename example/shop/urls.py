from django.urls import include, path

from shop import views

urlpatterns = [
    path("", views.home, name="home"),
    path("orders/", views.orders, name="orders"),
    path("n-plus-one/", views.n_plus_one, name="n-plus-one"),
    path("slow-io/", views.slow_io, name="slow-io"),
    path("slow-python/", views.slow_python, name="slow-python"),
    path("gil/", views.gil, name="gil"),
    path("crash/", views.crash, name="crash"),
    path("template-error/", views.template_error, name="template-error"),
    path("partial/", views.partial, name="partial"),
    path("stream/", views.stream, name="stream"),
    path("context/", views.context, name="context"),
    path("cache/", views.cached, name="cache"),
    path("outbound/", views.outbound, name="outbound"),
    path("async/", views.asynchronous, name="async"),
    # slowhound: the viewer. Off unless DEBUG is on, for this site has no staff.
    path("slowhound/", include("slowhound.viewer.urls")),
]
