"""The manifest of a prompt: messages of the template language, a model, parameters, variables, tools, an answer's schema.

What has its default is left out when it is stored, so that a prompt of long ago has the digest that it always had.
"""

from typing import Annotated, Any, Literal

import msgspec

Role = Literal["system", "developer", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "developer", "user", "assistant")
VariableType = Literal["text", "number", "integer", "boolean", "list", "object"]


class PromptMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message of the template."""

    role: Role
    content: str
    """Text with `{{name}}` placeholders, conditions, loops and includes; `\\{{` stands for two braces that are meant as such."""


class PromptParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Sampling parameters; what is left out is the provider's business."""

    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    """Randomness from 0 to 2."""
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """Probability mass that is sampled from."""
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Tokens that the answer may have."""
    stop: tuple[str, ...] | None = None
    """Texts at which the answer ends."""
    seed: int | None = None
    """Seed, for providers that take one."""


class RetrievalSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the prompt gets its context from."""

    index: str
    """Reference of the index: `index:help/docs`, or `index:help/docs@v3` to pin it."""
    k: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    """How many passages are retrieved."""
    query: str = "question"
    """Variable whose value is searched for."""
    into: str = "context"
    """Variable that takes the numbered passages."""


class PromptVariable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is declared of one variable; one that is not declared takes any value and must be given."""

    name: str
    type: VariableType = "text"
    """What its value must be."""
    default: Any = None
    """Value where none is given; null: it must be given."""
    description: str = ""
    """What it is, for those who fill it."""


class PromptTool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tool that the model may call."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
    """Letters, digits, `_` and `-`, as providers take them."""
    description: str = ""
    """When and how to use it, for the model."""
    parameters: dict[str, Any] = {}
    """Its arguments as a JSON Schema of an object."""


class ResponseSchema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The form that an answer must have."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
    """Letters, digits, `_` and `-`, as providers take them."""
    schema: dict[str, Any]
    """JSON Schema of the answer."""
    strict: bool = False
    """Whether the provider shall hold the model to it."""


class IncludedPrompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A prompt whose text stands in another one, pinned: what was meant when the version was made stays what is said."""

    name: str
    """As the tag names it: `support/tone@production`."""
    ref: str
    """The version that it meant: `prompt:support/tone@v3`."""
    text: str
    """The text of its one message."""
    declared: tuple[PromptVariable, ...] = ()
    """What it declares of its variables."""
    includes: tuple["IncludedPrompt", ...] = ()
    """What it includes itself."""


class ForeignPrompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of a prompt that another tool's client registered."""

    format: Literal["mlflow"]
    registration: str
    """Id of its registration: the same text registered again is another version."""
    unread: str = ""
    """Why its template is none of ours; then it is kept as it is, and only that tool fills it."""


class PromptManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The manifest of a version of kind `prompt`."""

    messages: Annotated[tuple[PromptMessage, ...], msgspec.Meta(min_length=1)]
    model: str
    """Model it was written for, as `provider/model` or a name that the gateway routes; a foreign prompt may name none."""
    params: PromptParams = PromptParams()
    variables: tuple[str, ...] = ()
    """Names of the variables, sorted, those of included prompts among them."""
    retrieval: RetrievalSetting | None = None
    description: str = ""
    """What it is for."""
    foreign: ForeignPrompt | None = None
    """Set when another tool's client registered it."""
    declared: tuple[PromptVariable, ...] = ()
    """What is declared of variables, by name."""
    tools: tuple[PromptTool, ...] = ()
    """Tools that the model may call."""
    response: ResponseSchema | None = None
    """The form that its answers must have."""
    includes: tuple[IncludedPrompt, ...] = ()
    """The prompts whose texts stand in it, by name."""
    owners: tuple[str, ...] = ()
    """Who answers for it."""
    notes: str = ""
    """Remarks for those who work on it; no model sees them."""
