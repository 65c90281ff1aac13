"""What may go wrong on the way to a board."""

__all__ = ["LinkError"]


class LinkError(RuntimeError):
    """No port, no answer, a wrong identity, a refused request, or a line that breaks frames."""
