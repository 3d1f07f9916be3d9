"""Endpoints: parse, call the engine, render."""
