"""FastAPI: answer with an id, or wait beside the event loop. `uvicorn fastapi_app:api`; as a script it asks itself."""

import asyncio
import time

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from celery_inference import errors, feature_extraction

api = FastAPI()


@api.exception_handler(errors.InferenceError)
def explain(_: Request, error: errors.InferenceError) -> JSONResponse:
    """422 for what the caller got wrong, 500 and 503 for what others did."""
    return JSONResponse({"detail": str(error)}, error.http_status)


@api.post("/embeddings", status_code=202)
def start(text: str) -> str:  # a plain function, which FastAPI runs in a thread: `delay()` waits for SQS
    """Send the request, and give its id."""
    return feature_extraction.delay(text).id


@api.get("/embeddings/{request_id}")
def read(request_id: str) -> list[float] | None:
    """The vector, or nothing as long as there is none."""
    result = feature_extraction.AsyncResult(request_id)
    return result.get() if result.ready() else None


@api.get("/embedding")
async def embed(text: str) -> list[float]:
    """The vector, in one call."""
    result = await asyncio.to_thread(feature_extraction.delay, text)
    return await asyncio.to_thread(result.get, 60)


if __name__ == "__main__":
    with TestClient(api) as client:
        print("empty:", client.post("/embeddings", params={"text": ""}).json()["detail"])
        request_id = client.post("/embeddings", params={"text": "My parcel never arrived."}).json()
        while (vector := client.get(f"/embeddings/{request_id}").json()) is None:
            time.sleep(0.1)
        print("by its id:", len(vector))
        print("in one call:", len(client.get("/embedding", params={"text": "Thank you."}).json()))
