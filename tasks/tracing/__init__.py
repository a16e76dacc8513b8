"""OpenTelemetry traces of requests, from `delay()` to the stored result. Without an SDK nothing of it does anything."""
