"""The viewer: pages over the store, the reports and what is in flight.

Mounted in a site by ``path("slowhound/", include("slowhound.viewer.urls"))``, or standing alone as
``slowhound view``. It brings its own templates and scripts and needs none of the site's settings
but ``SLOWHOUND``. How it is built:

    access.py       who may look
    query.py        what a URL requests: page, period, filters; and the links to other pages
    responses.py    from a page's data to HTML or JSON, its headers, its honest failures
    pages/          one file for each page: a function from what was asked to plain data
    filters.py      how values are shown: the only filters and tags of the templates
    report_parser.py a report's text, read back
    assets.py       scripts and style, served from the package
    standalone.py   the site that ``slowhound view`` runs
"""
