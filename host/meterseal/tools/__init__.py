"""Holds the tools on top of the chain: demo, benchmarks, frame explainer, installer, boards, doctor."""
