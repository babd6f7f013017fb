"""What the generated groups of methods stand on."""

from gimbal.faces.client.transport import Transport


class Group:
    """The operations of one noun, as methods."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
