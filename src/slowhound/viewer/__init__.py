"""Pages over the store, the reports and the requests in flight.

Mounted in a site by ``path("slowhound/", include("slowhound.viewer.urls"))``, or as a server of its
own by ``slowhound view``. It brings its own templates and scripts and needs none of the site's
settings but ``SLOWHOUND``. How it is built:

    access.py         who may see the pages
    query.py          reads a page's URL: its period, filters and order; and makes links
    sources.py        where the pages read from: the store, and this host's boxes and reports
    responses.py      from a page's data to HTML or JSON, with its headers; errors
    pages/            one file for each page: a function from a query to plain data
    filters.py        how values are displayed: the filters of the templates
    tags.py           links, table cells and small drawings: the tags of the templates
    report_parser.py  a report's text, taken apart into sections
    assets.py         scripts and style, served from the package
    standalone.py     the site that ``slowhound view`` runs
"""
