"""Runs proxies, a service and a load generator side by side and measures what the proxies spend."""
