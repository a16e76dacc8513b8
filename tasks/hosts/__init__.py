"""What a worker has to do with the platform that its host belongs to: protection while it works, and notices.

Chosen by `CELERY_INFERENCE_HOST`; without it nobody is asked.
"""
