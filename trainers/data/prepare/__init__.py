"""From a data set as it is downloaded to a manifest. A set is one file here and one line in `SETS`.

    python -m trainers.data.prepare                  (what `sigmalab data` starts)
      -> a set's own file lists its images           (places, class names, the publisher's parts)
      -> verification reads each image once          (missing? broken? sha256)
      -> protocol assigns the splits
      -> trainers.data.manifest writes them down

No trial imports this package.
"""

from trainers.data.prepare.ade20k import ADE20K
from trainers.data.prepare.caltech101 import CALTECH_101
from trainers.data.prepare.coco import COCO
from trainers.data.prepare.imagenet import IMAGENET
from trainers.data.prepare.oxford_pet import OXFORD_PET
from trainers.data.prepare.stanford_cars import STANFORD_CARS
from trainers.data.prepare.stanford_dogs import STANFORD_DOGS

SETS = (IMAGENET, OXFORD_PET, CALTECH_101, STANFORD_CARS, STANFORD_DOGS, COCO, ADE20K)

__all__ = ["SETS"]
