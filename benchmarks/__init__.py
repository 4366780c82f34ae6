"""The figures behind every performance claim: ``python -m benchmarks`` measures them on this
machine, from real text.
"""
