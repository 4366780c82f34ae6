"""The rows that modelsearch's tests of backends look for, as a fixture for `loaddata`.

The tests name titles, authors, dates and numbers; the fixture itself is not part of the package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

AUTHORS = {
    1: ("George R.R. Martin", "1948-09-20"),
    2: ("J. R. R. Tolkien", "1892-01-03"),
    4: ("Isaac Asimov", "1920-01-02"),
    5: ("David Ascher", None),
    6: ("Mark Lutz", None),
    7: ("Daniel Roy Greenfeld", None),
    8: ("Audrey Roy Greenfeld", None),
    9: ("Douglas Crockford", None),
    10: ("David Flanagan", None),
    11: ("Steve Klabnik", None),
    12: ("Carol Nichols", None),
    13: ("Jim Blandy", None),
    14: ("Jason Orendorff", None),
}
BOOKS = {
    1: ("A Game of Thrones", (1,), "1996-08-01", 694),
    2: ("A Clash of Kings", (1,), "1998-01-01", 768),
    3: ("A Storm of Swords", (1,), "2000-01-01", 973),
    4: ("The Fellowship of the Ring", (2,), "1954-07-29", 423),
    5: ("The Two Towers", (2,), "1954-11-11", 352),
    6: ("The Return of the King", (2,), "1955-10-20", 440),
    7: ("The Hobbit", (2,), "1937-09-21", 320),
    10: ("Foundation", (4,), "1951-01-01", 255),
    11: ("Learning Python", (5, 6), "1999-01-01", 1160),
    12: ("Two Scoops of Django 1.11", (7, 8), "2017-04-26", 556),
    13: ("JavaScript: The good parts", (9,), "2008-05-18", 172),
    14: ("JavaScript: The Definitive Guide", (10,), "1998-06-11", 792),
    15: ("The Rust Programming Language", (11, 12), "2018-05-22", 440),
    16: ("Programming Rust", (13, 14), "2017-12-01", 622),
}
NOVELS = {
    1: ("Westeros", ("Daenerys Targaryen", "Jon Snow", "Eddard Stark"), None),
    2: ("Westeros", ("Daenerys Targaryen", "Jon Snow"), None),
    3: ("Westeros", ("Daenerys Targaryen", "Jon Snow"), None),
    4: ("Middle Earth", ("Frodo Baggins", "Bilbo Baggins", "Gandalf"), "Frodo Baggins"),
    5: ("Middle Earth", ("Frodo Baggins", "Bilbo Baggins", "Gandalf"), "Frodo Baggins"),
    6: ("Middle Earth", ("Frodo Baggins", "Bilbo Baggins", "Gandalf"), "Frodo Baggins"),
    7: ("Middle Earth", ("Bilbo Baggins", "Thorin Oakenshield"), "Bilbo Baggins"),
    10: ("Galactic Empire", ("Hari Seldon", "Salvor Hardin"), None),
}
GUIDES = {11: "py", 12: "py", 13: "js", 14: "js", 15: "rs"}
MEETINGS = {
    1: ("Breakfast yoga", "08:00", {}),
    2: ("Stand-up meeting", "10:00", {"Budget": ("Arthur Doyle",), "Roadmap": ("Ada Byron",)}),
    3: ("Evening yoga", "19:30", {}),
}
ANIMALS = {
    "Animal": ("0001", 1, 10),
    "Mammal": ("00010001", 2, 7),
    "Dog": ("000100010001", 3, 4),
    "Cat": ("000100010002", 5, 6),
    "Reptile": ("00010002", 8, 9),
}
"""Name -> path of a materialised tree, and left and right number of a nested set."""


def records() -> list[dict[str, Any]]:
    """All rows, parents before what refers to them."""
    found: list[dict[str, Any]] = []

    def add(model: str, key: int, **fields: Any) -> None:
        found.append({"model": f"searchtests.{model}", "pk": key, "fields": fields})

    for key, (name, born) in AUTHORS.items():
        add("author", key, name=name, date_of_birth=born)
    for key, (title, authors, published, pages) in BOOKS.items():
        add(
            "book",
            key,
            title=title,
            authors=list(authors),
            publication_date=published,
            number_of_pages=pages,
        )
    for key in (1, 2, 3, 4):
        title, _, published, pages = BOOKS[key]
        add(
            "unindexedbook",
            key,
            title=title,
            publication_date=published,
            number_of_pages=pages,
        )
    character = 0
    for key, (setting, names, protagonist) in NOVELS.items():
        chosen = None
        for name in names:
            character += 1
            add("character", character, name=name, novel=key)
            if name == protagonist:
                chosen = character
        add("novel", key, setting=setting, protagonist=chosen)
    for key, language in GUIDES.items():
        add("programmingguide", key, programming_language=language)
    items = 0
    speakers = 0
    for key, (name, start, agenda) in MEETINGS.items():
        add("meeting", key, name=name, start_time=start)
        for topic, invited in agenda.items():
            items += 1
            add("agendaitem", items, meeting=key, topic=topic)
            for person in invited:
                speakers += 1
                add("speaker", speakers, agenda_item=items, name=person)
    for key, (name, (path, left, right)) in enumerate(ANIMALS.items(), 1):
        depth = len(path) // 4
        children = sum(
            other.startswith(path) and len(other) == len(path) + 4
            for other, _, _ in ANIMALS.values()
        )
        add("mpanimal", key, name=name, path=path, depth=depth, numchild=children)
        add("nsanimal", key, name=name, lft=left, rgt=right, depth=depth, tree_id=1)
    return found


def write(folder: Path) -> None:
    """Write the fixture "search" into a folder of FIXTURE_DIRS."""
    (folder / "search.json").write_text(json.dumps(records()))
