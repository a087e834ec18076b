"""What holds for every kind, to be asked of one's own: our tests of ours are the same classes.

    from trainers.contracts import DatasetContract

    class TestStripes(DatasetContract):
        def make(self, data_root):
            return StripesConfig()

`pytest` collects the class and asks it everything. Nothing here imports pytest, and no trial imports this;
`pytest.register_assert_rewrite("trainers.contracts")` in a `conftest.py` makes failures tell their values.
"""

from trainers.contracts.attention_bias import AttentionBiasContract
from trainers.contracts.dataset import DatasetContract, MaskSetContract
from trainers.contracts.model import ModelContract

__all__ = ["AttentionBiasContract", "DatasetContract", "MaskSetContract", "ModelContract"]
