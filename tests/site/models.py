"""Two tables that refer to each other, enough for an N+1."""

from __future__ import annotations

from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=100)


class Item(models.Model):
    name = models.CharField(max_length=100)
    author = models.ForeignKey(Author, on_delete=models.CASCADE)


class Note(models.Model):
    text = models.CharField(max_length=100)
