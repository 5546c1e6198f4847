"""Model to version: numbers, stages, the gate, the artefact's digest."""
