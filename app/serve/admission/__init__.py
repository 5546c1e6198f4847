"""Who is let in: requests -> places in threads, a short wait, or a refusal before the body is read.

``limit`` says how many requests of one model may be under way, by what their latency shows; ``gate`` gives the places out,
fairly among models and callers, and refuses early; ``places`` puts both on the event loop and the work into threads.

Everything here runs on the event loop, so that there is nothing to lock.
"""
