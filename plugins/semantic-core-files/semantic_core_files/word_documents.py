"""Reads Word documents (DOCX) with mammoth, which knows their styles, lists and notes.

Tested by tests/test_office.py.
"""

from __future__ import annotations

import io

from semantic_core_files.archives import Archive
from semantic_core_files.office import properties
from semantic_core_files.parts import FilePart, FileSource, part_of
from semantic_core_files.web_pages import heading_of, markup_body

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Code'] => pre:separator('\n')
p[style-name='HTML Preformatted'] => pre:separator('\n')
p[style-name='Quote'] => blockquote > p:fresh
p[style-name='Intense Quote'] => blockquote > p:fresh
comment-reference =>
"""
"""What mammoth's own table of styles does not have. Comments are left out."""


def read(source: FileSource) -> list[FilePart]:
    """The document without its page headers and footers; footnotes are at its end, text that was
    deleted under revision is left out. Raises FileUnreadable for what is no Word document.
    """
    import mammoth

    archive = Archive(source, "Word document")
    archive.read("[Content_Types].xml")
    archive.check_xml()
    title, fields, language = properties(archive)
    try:
        converted = mammoth.convert_to_html(
            io.BytesIO(source.data),
            style_map=_STYLES,
            convert_image=mammoth.images.img_element(_no_picture),
            external_file_access=False,
        )
    except (KeyError, IndexError, ValueError, AttributeError, TypeError, OSError) as error:
        raise archive.broken(error) from error
    body = markup_body(source, converted.value)
    return [
        part_of(
            source,
            body,
            title=title or heading_of(body) or source.stem,
            metadata=fields,
            language=language,
        )
    ]


def _no_picture(image: object) -> dict[str, str]:
    """Attributes for the place of a picture: mammoth adds its description, and its bytes stay
    where they are.
    """
    return {"src": ""}
