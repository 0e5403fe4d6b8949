"""Texts from which 8-bit quantisation learns the range of each activation; written for this project.

What matters is variety: topics, registers, numbers, rare words, short and long texts.
"""

import random

SENTENCES = (
    "The pump must be switched off at the main breaker before the filter housing is opened.",
    "Photosynthesis stores the energy of sunlight in the bonds of sugar molecules.",
    "In 1848 uprisings spread from Palermo to Paris, Vienna and Berlin within a few months.",
    "A binary search tree keeps smaller keys on the left and larger keys on the right.",
    "Refunds are paid within 14 days to the card that was used for the purchase.",
    "The court held that the clause was void because it had never been shown to the tenant.",
    "Wash the lentils, cover them with cold water and simmer for twenty-five minutes.",
    "Patients over 65 should start with half of the usual dose, 2.5 mg once a day.",
    "The boundary layer separates where the pressure rises faster than friction can be overcome.",
    "She closed the shop at six, walked down to the harbour and waited for the last ferry.",
    "Revenue rose by 7.3 percent to 412 million euros, while operating costs stayed flat.",
    "Error 0x80070005 means that the service account may not write to the log folder.",
    "Granite forms when magma cools slowly several kilometres below the surface.",
    "The midfielder scored twice in stoppage time and the home side won 3-2.",
    "A gradient step that is too large overshoots the minimum and may diverge.",
    "Employees may carry over up to five days of leave into the first quarter of the next year.",
    "The Treaty of Westphalia ended the Thirty Years' War in 1648.",
    "Install the package with pip, then run the command with --help to list its options.",
    "Honeybees tell their sisters the direction of a food source by dancing on the comb.",
    "The bridge carries two lanes of traffic and a footpath across a span of 310 metres.",
    "Interest is compounded monthly; the effective annual rate is therefore 6.17%.",
    "Vaccination lowered the number of hospital admissions in every age group of the trial.",
    "His second novel, written in exile, follows three generations of a family of clockmakers.",
    "The sensor reports temperature, humidity and air pressure every ten seconds over MQTT.",
    "Copper conducts heat better than iron, and silver better than copper.",
    "To renew a passport, bring the old one, two photographs and proof of address.",
    "The mutation replaces a glycine residue and prevents the protein from folding.",
    "Ladies and gentlemen, this flight is delayed owing to a technical inspection.",
    "Let f be continuous on [a, b]; then f attains its maximum at some point of the interval.",
    "Monsoon rains reach the coast of Kerala in the first week of June.",
    "The committee rejected the proposal by nine votes to four, with two abstentions.",
    "Use a torque wrench and tighten the wheel bolts crosswise to 110 Nm.",
    "Unemployment fell to 4.1 per cent, the lowest figure since records began.",
    "Every request carries a token; without it the server answers 401 Unauthorized.",
    "Mercury has almost no atmosphere, so its nights are colder than minus 170 degrees Celsius.",
    "The manuscript, bound in calfskin, was found behind a wall of the monastery in 1931.",
    "Tenants must give notice in writing three months before the end of the lease.",
    "A transistor switches when the voltage at its gate passes a threshold.",
    "Stir in the flour, season with nutmeg and let the sauce thicken over a low flame.",
    "Antibiotics have no effect on viruses and should not be prescribed for a common cold.",
    "| model | weight | price |",
    "Chapter 4. Results and discussion",
    "Warning: do not immerse the device in water!",
    "Was the library open on Sundays before the war?",
    "Shock-induced separation at Mach 2.4 was observed on the flat plate, see Fig. 7.",
    "Dear Ms. Okafor, thank you for your letter of 12 March.",
    "Contact: support@example.org, +44 20 7946 0018, Monday to Friday.",
    "Fibre-optic cables carry several wavelengths at once, each with its own signal.",
)

FRAGMENTS = tuple(
    """
    Yes. ¦ No. ¦ Why? ¦ n/a ¦ 42 ¦ 3.14 ¦ Paris ¦ +49 30 1234 ¦ | a | b | ¦ |---|---| ¦ - first item ¦ 10 %
    * second item ¦ 1. Open the lid. ¦ # Introduction ¦ Table 2. Results (n = 40) ¦ e = mc^2 ¦ $5.00 / month
    x_{i+1} = x_i - 0.1 * g ¦ def area(r): return 3.14 * r ** 2 ¦ SELECT name FROM users WHERE id = 7;
    https://example.org/docs?page=2 ¦ /usr/local/bin/run --verbose ¦ Où est la bibliothèque ? ¦ Q4 2023
    Straße und Brücke ¦ Привет, мир ¦ 你好，世界 ¦ こんにちは ¦ 안녕하세요 ¦ مرحبا ¦ → ✓ … “quoted” — dash ¦ 🙂 🎉
    !!! ¦ (a) (b) (c) ¦ [1] [2] ¦ GPU, CPU & RAM ¦ TODAY ONLY ¦ it's ¦ C3H8O3 ¦ Gen. 1:1 ¦ Mr. Smith ¦ and
    the of in ¦ asdf qwer zxcv ¦ AB-1234-XY ¦ 2021-03-04T05:06:07Z ¦ {"key": [1, 2, 3]}
    """.strip()
    .replace("\n    ", " ¦ ")
    .split(" ¦ ")
)
"""Headings, cells, code, formulas, other scripts: the texts whose activations leave the usual range."""

QUESTIONS = (
    "When did the war end?",
    "How long does a refund take?",
    "What does error 0x80070005 mean?",
    "who wrote the novel about the clockmakers",
    "Which metal conducts heat best, and why?",
    "How many votes were cast against the proposal of the committee?",
    "What is the dose for patients over 65?",
    "Where was the manuscript found?",
    "Why does the boundary layer separate?",
    "Under which conditions does a continuous function attain its maximum?",
)


def texts(count: int = 100, seed: int = 7) -> list[str]:
    """``count`` texts of 1 to 12 sentences and all fragments, the same ones for the same arguments."""
    chance = random.Random(seed)
    return [*(" ".join(chance.sample(SENTENCES, chance.randint(1, 12))) for _ in range(count)), *FRAGMENTS]
