"""Why a file is not converted: the controlled codes, and the refusal that carries one."""

from medvision.errors import DataError

REFUSED = {
    "archive-broken": "the archive, or a member of it, is not whole",
    "archive-encrypted": "a member of an archive needs a password",
    "archive-nested": "an archive within an archive",
    "archive-not-opened": "an archive, or a member of one, of a kind that is not opened",
    "archive-too-large": "the archive unpacks to more than is allowed",
    "bad-affine": "the image's affine is not finite or not invertible",
    "bad-orientation": "the orientation is not a pair of perpendicular unit vectors",
    "bad-scaling": "the values' scaling is infinite, or its results are too large for float32",
    "bit-layout-not-supported": "the bits of the pixels contradict what the header says of them",
    "burned-in-annotation": "the header says that identifying text is part of the pixels",
    "burned-in-risk": "a kind of image that often has text in its pixels",
    "burned-in-text": "text was found in the pixels",
    "conflicting-duplicate": "one SOPInstanceUID, or equal headers, stand for different pixels",
    "dtype-not-supported": "the voxels are neither integers nor real numbers",
    "empty-image": "a dimension of the image is 0",
    "missing-slice": "the slices leave a gap",
    "mosaic-without-header": "a mosaic without the private header that places its tiles",
    "no-decoder": "no installed library decodes the transfer syntax",
    "no-pixel-data": "an image object without pixels",
    "no-position": "several slices of a cross-sectional series without positions",
    "no-series-uid": "nothing tells which series the object belongs to",
    "no-spacing": "positions without the distance of pixels",
    "not-a-stack": "planes are shifted sideways without a constant rule",
    "no-transfer-syntax": "encapsulated pixels without the name of their encoding",
    "pair-incomplete": "the header of a pair (.hdr with .img) without its voxels",
    "photometric-not-supported": "the meaning of the samples is not known",
    "repeated-positions": "several slices at one position, and nothing tells how they form volumes",
    "too-large": "more voxels than can be held in memory",
    "too-many-dimensions": "the image has more than four dimensions",
    "truncated": "the file ends before its content does",
    "undecodable": "the pixels cannot be decoded",
    "uneven-repeats": "positions of one image have different numbers of slices",
    "unreadable": "the header cannot be parsed",
    "variable-spacing": "the distance between slices varies",
}
"""Code to meaning: the file holds an image, or claims to, and is not used."""

NON_IMAGE = {
    "archive": "an archive, whose members have rows of their own",
    "dicomdir": "the index of a medium",
    "empty-file": "zero bytes",
    "encapsulated-document": "a PDF, CDA, STL or OBJ document",
    "key-object": "a key object selection",
    "mask": "named as a mask in the table of labels",
    "no-image-object": "a DICOM object that is not an image",
    "not-a-file": "a pipe, socket or broken link",
    "not-an-image": "text or anything unknown",
    "other-format": "an image format that is not an input of this project",
    "other-kind": "an image of a kind that data.kind leaves out",
    "outside-dataset": "below sourcedata, code or stimuli of a BIDS dataset",
    "presentation-state": "how to show another image",
    "raw-data": "raw data of a scanner",
    "registration": "a spatial registration or fiducials",
    "rt-object": "a radiotherapy object",
    "segmentation": "labels drawn on another image",
    "spectroscopy": "spectra",
    "structured-report": "a report",
    "waveform": "an ECG or another waveform",
}
"""Code to meaning: the file is catalogued as what it is."""

SAME_PIXELS = "same-pixels"
"""Code of a duplicate: another file of the series holds the same pixels at the same place."""

FLAGS = {
    "analyze-scaling": "Analyze's own scaling: SPM's factor applied, a calibration range not",
    "bits-shifted": "values did not begin at the lowest bit and were shifted",
    "burned-in-annotation": "the header says that identifying text is part of the pixels",
    "burned-in-risk": "a kind of image that often has text in its pixels",
    "codestream-repaired": "compressed pixels broke their standard in a known way and were mended",
    "colour-reduced": "colour of more than 8 bits was cut to 8",
    "colour-to-luminance": "colour turned into ITU-R BT.601 luminance",
    "constant": "all voxels are equal",
    "derived": "computed from other images, such as a reformat or a projection",
    "detector-spacing": "pixel spacing measured at the detector, not in the body",
    "encoding-differs": "pixels are encoded otherwise than the transfer syntax names",
    "gantry-tilt": "sheared affine: planes are shifted along the plane, qform is absent",
    "high-bit-ignored": "the highest bit is below the stored bits; no value needs more",
    "high-bits-cleared": "bits beyond the stored ones were not empty and were cleared",
    "missing-slice": "the slices leave a gap, kept or filled as ingest.gaps asks",
    "mixed-slices": "slices of a volume differ in echo, b-value or kind, or acquisitions alternate",
    "modality-lut": "values come from a modality lookup table",
    "monochrome1": "low values are meant to be shown white; values are kept",
    "nan": "voxels without a number",
    "no-orientation": "the file states no orientation; voxel axes taken as R, A, S",
    "no-patient-id": "the header has no PatientID; the study stands for the subject",
    "no-spacing": "pixel spacing is not stated; 1 mm taken",
    "offset-table-ignored": "the table of frames is wrong; frames were found without it",
    "one-of-many": "one of several volumes of its series",
    "opacity-dropped": "colour had an opacity, which is not kept",
    "ordered-by-instance-number": "only InstanceNumber or ContentTime tells the volumes",
    "precision-differs": "compressed values need more bits than the header states; kept",
    "regions-blanked": "a rule blanked regions of the pixels",
    "resampled": "slices were laid on an even, upright grid by linear interpolation",
    "rounded": "values were rounded to float32, which does not hold them exactly",
    "sform-qform-differ": "sform and qform disagree; sform taken",
    "sign-corrected": "header and codestream disagree on the sign of values",
    "sign-extended": "negative values lacked the sign in their unused bits",
    "slice-dropped": "a file of the series was refused and the rest has no gap",
    "thickness-assumed": "slice thickness is not stated; 1 mm taken",
    "variable-spacing": "the distance between slices varies, kept or evened as ingest.gaps asks",
    "voi-lut": "the header has a table for display; values are kept",
    "voi-unusable": "the header's window or table for display has no meaning; it is not used",
}
"""Code to meaning: what a converted image's user should know."""


class RefusalError(DataError):
    """An image, or one file of it, is not used; the run goes on without it.

    Args:
        reason: A code of REFUSED.
        detail: `<thing> must be <rule>, got <value>`, without identifiers.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"ingest: {detail}.")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["RefusalError"], tuple[str, str]]:
        """Let the refusal travel between processes."""
        return type(self), (self.reason, self.detail)
