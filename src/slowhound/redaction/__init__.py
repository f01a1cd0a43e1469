"""Masks secrets in all that leaves the process.

Application data becomes plain data, names are judged, values are searched, and all is cut, in this
order, for every way out.

    masking urls structures         the entry points: texts, addresses, fields and variables
    plain_data standard_values exceptions
                                    plain data of the application's values
    name_table names                which names are secret: the table, and how it is read
    values forms/                   what is secret by its form: tokens, keys, cards
    pairs/                          values behind secret names in a text; credentials
    databases/                      what databases quote in their errors
    sql/                            statements without their literals
    source/                         lines of source without the literals beside secret names
    cuts mask                       where a text is cut; what replaces a secret
"""
