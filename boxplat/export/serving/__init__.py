"""Endpoints as Kubernetes serves them: releases, routes, alerts."""
