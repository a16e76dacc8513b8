"""`python -m celery_inference`: the command `celery-inference`."""

from celery_inference.commands.main import main

main(prog_name="celery-inference")
