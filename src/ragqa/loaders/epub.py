"""EPUB books: the chapters of the spine in reading order, read as XHTML."""

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

from ragqa.archives import check_archive
from ragqa.errors import DocumentError
from ragqa.manuscript import Manuscript
from ragqa.markup import write_html
from ragqa.types import Document

SUFFIXES: tuple[str, ...] = (".epub",)

_CONTAINER = "META-INF/container.xml"
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def load(path: Path, doc_id: str) -> Iterator[Document]:
    """One document for the whole book.

    Raises:
        DocumentError: no zip file, copy-protected content, or no readable list of chapters.
    """
    check_archive(path, "EPUB")
    manuscript = Manuscript()
    with zipfile.ZipFile(path) as book:
        names = set(book.namelist())
        if "META-INF/rights.xml" in names:
            raise DocumentError("is copy-protected (DRM)", accepted="EPUB without DRM")
        package_name = _package_name(book)
        package = _xml(book, package_name)
        for chapter in _chapters(package, package_name):
            if chapter in names:
                write_html(book.read(chapter), manuscript)
    yield manuscript.document(doc_id, path, _text(package, "title"), _meta(package))


def _package_name(book: zipfile.ZipFile) -> str:
    found = _xml(book, _CONTAINER).xpath("string((//*[local-name()='rootfile']/@full-path)[1])")
    if not found:
        raise DocumentError("names no package file", next_step="fetch or export the book again")
    return str(found)


def _xml(book: zipfile.ZipFile, name: str) -> etree._Element:
    try:
        data = book.read(name)
    except KeyError as error:
        raise DocumentError(f"has no {name}", next_step="fetch or export the book again") from error
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, recover=True))


def _chapters(package: etree._Element, package_name: str) -> Iterator[str]:
    """Names of the chapter files in the order of the spine."""
    folder = posixpath.dirname(package_name)
    items = {
        item.get("id"): item
        for item in package.iterfind(".//{*}manifest/{*}item")
        if item.get("media-type") in _PAGES and "nav" not in (item.get("properties") or "").split()
    }
    for reference in package.iterfind(".//{*}spine/{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is not None:
            yield posixpath.normpath(
                posixpath.join(folder, unquote(item.get("href") or "").partition("#")[0])
            )


def _text(package: etree._Element, name: str) -> str:
    return (package.findtext(f".//{{http://purl.org/dc/elements/1.1/}}{name}") or "").strip()


def _meta(package: etree._Element) -> dict[str, str]:
    return {key: value for key in ("creator", "language") if (value := _text(package, key))}
