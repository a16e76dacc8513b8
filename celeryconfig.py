"""The Celery settings of this deployment's workers: the library's, and below them a deployment's own.

What the library sets comes from the variables that docs/settings.md lists. Every public name here is a Celery setting,
or begins with `inference_`; Celery would take a misspelt one without a word, and tests/unit/test_settings.py does not.
"""

from celery_inference.celery_settings import worker_settings as _worker_settings

globals().update(_worker_settings())

# A deployment's own, as in: include = ["shop.tasks"]
