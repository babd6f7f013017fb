r"""The language of prompt templates: text with tags in double braces, sandboxed and without side effects.

    {{name}}  {{user.name}}  {{items.0}}       a value, inserted as it is and never expanded again
    {{#if plan == "gold" and not late}} … {{else if plan}} … {{else}} … {{/if}}
    {{#each items as item}} {{@index}} {{item.name}} {{else}} … {{/each}}
    {{> support/tone@v3}}                      the text of another prompt, as if it stood here
    {{! a remark }}                            nothing
    \{{                                        two braces that are meant as text

`scan` finds the tags, `conditions` and `parse` make operations of them, `run` carries them out, `values` is all that a
template can do with a value. Paths lead into objects and lists only: no attribute of anything is ever read. What takes
too long or grows too large is refused. The server and the plain client render by the same code.
"""

from gimbal.generative.prompts.language.parse import Included, Template, compile_template
from gimbal.generative.prompts.language.run import render
from gimbal.generative.prompts.language.scan import NAME, Place, place_of

__all__ = ["NAME", "Included", "Place", "Template", "compile_template", "place_of", "render"]
