"""A character-level language model: the next letter of a name from the three before it.

    tapegrad run examples/names_mlp.py        python examples/names_mlp.py

Reference: Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin, "A Neural Probabilistic Language Model", JMLR 3 (2003).

Prints, with tapegrad and with PyTorch:

    206 names, 1368 letters, 4009 parameters
    step 100  loss of all letters 2.138
    step 200  loss of all letters 1.971
    step 300  loss of all letters 1.812
    step 400  loss of all letters 1.657
    invented: clarher, glandanian, hia, harloria, adia, hazendiia, top, ham
"""

import torch
from torch import nn
from torch.nn import functional as F

NAMES = """
ada adam adele agnes alan albert alice amelia anders andrea anna anton arthur astrid aurora beatrice benjamin bernard
bianca boris bruno camilla carla carlos caroline cecilia charles charlotte christine clara claudia conrad cornelia
daniel daria david deborah diana dominic doris edgar edith edward eleanor elena elias elizabeth ella elsa emil emily
emma eric erika ernest esther eva felix fiona flora florence frances frank frieda gabriel george gerald gloria grace
gustav hannah harold harriet harry hazel heidi helen henry herbert hilda hugo ida ingrid irene iris isaac isabel ivan
jacob james jane jasmine jean joan johanna john jonas josephine joshua julia julian karen karl katherine klara lara
laura laurence lea leo leonard lily linda lorena louis louise lucas lucy luisa lydia magdalena marcus margaret maria
marian marie marina mario mark martha martin mary matilda matthew max maya melanie michael mira miriam monica nadia
natalie nathan nicholas nina nora norman olga oliver olivia oscar otto pamela patricia paul paula pauline peter philip
rachel ralph raymond rebecca regina richard robert roland rosa rose ruben ruth samuel sandra sarah sebastian selma
silvia simon sofia sonia sophie stella stephen susan sylvia theodor theresa thomas tina tobias valentin valerie vera
victor victoria vincent viola walter wanda werner wilhelm william yvonne zelda zoe
""".split()
LETTERS = ".abcdefghijklmnopqrstuvwxyz"  # the dot stands before and after a name
NUMBER = {letter: i for i, letter in enumerate(LETTERS)}
CONTEXT = 3


class Model(nn.Module):
    """Letters (B, CONTEXT) as numbers to scores (B, 27) of the next."""

    def __init__(self, features=10, hidden=64):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), features)
        self.hidden = nn.Linear(CONTEXT * features, hidden)
        self.scores = nn.Linear(hidden, len(LETTERS))

    def forward(self, x):
        x = self.embedding(x).flatten(1)  # (B, CONTEXT, features) -> (B, CONTEXT * features)
        return self.scores(torch.tanh(self.hidden(x)))


def examples(names):
    """Every letter of every name with the letters before it: (N, CONTEXT) and (N,), as numbers."""
    before, after = [], []
    for name in names:
        letters = [0] * CONTEXT + [NUMBER[c] for c in name] + [0]
        for i in range(CONTEXT, len(letters)):
            before.append(letters[i - CONTEXT : i])
            after.append(letters[i])
    return torch.tensor(before), torch.tensor(after)


@torch.no_grad()
def invent(model):
    """A new name: letters drawn one after the other with the model's probabilities."""
    letters = [0] * CONTEXT
    while len(letters) < CONTEXT + 12:
        probabilities = F.softmax(model(torch.tensor([letters[-CONTEXT:]])), dim=1)[0]  # (27,)
        drawn = (probabilities.cumsum(0) < torch.rand(1)).sum().item()
        if drawn == 0:
            break
        letters.append(min(drawn, len(LETTERS) - 1))
    return "".join(LETTERS[i] for i in letters[CONTEXT:])


torch.manual_seed(0)
x, target = examples(NAMES)
model = Model()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
print(f"{len(NAMES)} names, {len(x)} letters, {sum(p.numel() for p in model.parameters())} parameters")

for step in range(1, 401):
    batch = torch.randint(len(x), (64,))
    loss = F.cross_entropy(model(x[batch]), target[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        with torch.no_grad():
            print(f"step {step}  loss of all letters {F.cross_entropy(model(x), target).item():.3f}")

print("invented:", ", ".join(invent(model) for _ in range(8)))
