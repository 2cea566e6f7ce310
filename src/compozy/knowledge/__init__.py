"""Documents become passages that agents can draw on: sources, chunks, embeddings, stores, ingestion, retrieval."""
