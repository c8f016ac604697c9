"""Exports of annotation tools whose labels are shapes in JSON files."""
