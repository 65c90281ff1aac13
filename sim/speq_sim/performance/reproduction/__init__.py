"""What our model gives for the headlines of three papers, and for ourselves.

Papers leave much unsaid: what is unknown is swept, and the answer is a band with the assumptions at
its ends. :mod:`speq_sim.performance.reproduction.published` alone has the papers' figures, and
nothing that computes a band reads a headline. What would have to be so for a headline to come out
is solved for, and called *needed*; no needed value is an input of anything.
"""
