"""ADE20K's scene parsing: the class of each pixel, 150 of them; read where it lies, as `mask_folder`."""

from pathlib import Path

from trainers.data.mask_folder import MaskFolderConfig
from trainers.data.mask_folder_layout import read_mask_folder
from trainers.data.prepare.published_set import ListedImage, Listing, OfficialParts, PublishedSet, locate
from trainers.data.split_names import SplitName
from trainers.data.stored_image import StoredImage

# The short names that everybody prints, in the order of the masks' values from 1.
CLASS_NAMES = tuple(
    """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door, table,
mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field, armchair, seat,
fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest of drawers, counter,
sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow,
screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop,
stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower,
chandelier, awning, streetlight, booth, television receiver, airplane, dirt track, apparel, pole, land, bannister,
escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name,
microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray,
ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
""".replace("\n", " ")
    .strip(" ,")
    .split(", ")
)
MASKS, TESTED = "annotations", "validation"
VAL_FRACTION = 0.1
FOLDERS = [f"{tree}/{part}" for tree in ("images", MASKS) for part in ("training", TESTED)]


def dataset(path: str) -> MaskFolderConfig:
    """Trained on `training`, of which a tenth is for validation; tested on `validation`, as everybody reports."""
    return MaskFolderConfig(
        path=path,
        masks=MASKS,
        test_folder=TESTED,
        zero_is_ignored=True,
        val_fraction=VAL_FRACTION,
        class_names=CLASS_NAMES,
    )


def list_images(published: PublishedSet, root: Path) -> Listing:
    """The images of both parts, by name."""
    folder = locate(published, root, (".", "ADEChallengeData2016", "ade/ADEChallengeData2016"), FOLDERS)
    named: dict[SplitName, str] = {"train": "training", "test": TESTED}
    trees = read_mask_folder(folder, images="images", masks=MASKS, split_folders=named).trees
    listed = [
        ListedImage(StoredImage(Path(pair.image.path).relative_to(folder).as_posix()), 0, named[split])
        for split, pairs in trees.items()
        for pair in pairs
    ]
    return Listing(folder, dataset(str(folder)).class_names, listed)


ADE20K = PublishedSet(
    name="ade20k",
    title="ADE20K (scene parsing)",
    num_classes=150,
    num_images={"training": 20_210, TESTED: 2_000},
    official=OfficialParts(train="training", test=TESTED, val_fraction=VAL_FRACTION),
    paper_counts=None,
    source="http://sceneparsing.csail.mit.edu (ADEChallengeData2016.zip)",
    layout="""
<folder>/images/training/ADE_train_00000001.jpg ...
<folder>/images/validation/ADE_val_00000001.jpg ...
<folder>/annotations/training/ADE_train_00000001.png ...
<folder>/annotations/validation/ADE_val_00000001.png ...
""",
    list_images=list_images,
    dataset=dataset,
)
