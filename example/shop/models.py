from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=80)
    town = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    name = models.CharField(max_length=80)
    blurb = models.CharField(max_length=200)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    list_price = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def discount(self) -> int:
        """Percent off the list price. A gift has no list price: the bug of /template-error/."""
        return round(100 - 100 * self.price / self.list_price)


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    placed_on = models.DateField()

    class Meta:
        ordering = ["-placed_on", "-pk"]

    def __str__(self) -> str:
        return f"Order {self.pk}"


class Line(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"
