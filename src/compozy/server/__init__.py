"""The verbs of the program over HTTP; the only package that imports FastAPI and uvicorn."""
