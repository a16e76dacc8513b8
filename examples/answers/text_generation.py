"""Write text: after a prompt, and in a chat."""

from celery_inference import text_generation
from celery_inference.types import ChatMessage

answer = text_generation.delay("Name one planet.", max_new_tokens=8)

chat: list[ChatMessage] = [
    {"role": "system", "content": "You answer with one word."},
    {"role": "user", "content": "What is the capital of France?"},
]
reply = text_generation.delay(chat, max_new_tokens=8)

print("prompt:", answer.get(timeout=120)[0]["generated_text"])
print("chat:", reply.get(timeout=120)[0]["generated_text"])
