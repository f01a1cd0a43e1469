"""Fills the shelves, always with the same things."""

from datetime import date, timedelta
from decimal import Decimal

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

PRODUCTS = [
    # name, blurb, price, list price
    ("Slow feeder bowl", "Dinner takes twelve minutes instead of one.", "14.50", "18.00"),
    ("Ten metre lead", "For a nose that wants to be elsewhere.", "22.00", "22.00"),
    ("Orthopaedic cushion", "Where a long day of lying about ends.", "64.00", "80.00"),
    ("Reflective vest", "Seen before heard.", "19.90", "24.90"),
    ("Chew root", "Quiet, by the hour.", "6.20", "6.20"),
    ("Tracking collar", "Knows where the time went.", "89.00", "99.00"),
    ("Rain coat", "With room for ears.", "34.00", "40.00"),
]
GIFT = ("Sample biscuit", "One per parcel, at what it costs us.", "0.50", "0.00")
CUSTOMERS = [
    ("Hill Farm Kennels", "Hawes"),
    ("The Wet Nose", "Whitby"),
    ("Harbour Dog Wash", "Oban"),
    ("Long Walk Outfitters", "Keswick"),
    ("Paws and Pastries", "Bath"),
    ("Moorland Rescue", "Okehampton"),
]
ORDERS = 40
FIRST_DAY = date(2026, 1, 5)


def fill(apps: StateApps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    customer, product, order, line = (
        apps.get_model("shop", name) for name in ("Customer", "Product", "Order", "Line")
    )
    customers = customer.objects.bulk_create(
        customer(name=name, town=town) for name, town in CUSTOMERS
    )
    products = product.objects.bulk_create(
        product(name=name, blurb=blurb, price=Decimal(price), list_price=Decimal(list_price))
        for name, blurb, price, list_price in [*PRODUCTS, GIFT]
    )
    orders = order.objects.bulk_create(
        order(customer=customers[n % len(customers)], placed_on=FIRST_DAY + timedelta(days=n))
        for n in range(ORDERS)
    )
    line.objects.bulk_create(
        line(order=each, product=products[(n + k) % len(products)], quantity=1 + (n * k) % 3)
        for n, each in enumerate(orders)
        for k in range(1 + n % 3)
    )


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
