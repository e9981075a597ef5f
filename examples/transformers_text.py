"""Hugging Face Trainer: a tiny BERT learns which of two made-up languages a text is in.

Set-up: pip install 'eco2ai-callbacks[transformers]'
"""

import random

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from eco2ai_callbacks.transformers import Eco2AICallback

SHARED = ["ma", "mi", "mu", "me", "mo"]
LANGUAGES = (["ka", "ki", "ku", "ke", "ko", *SHARED], ["zra", "zri", "zru", "zre", "zro", *SHARED])
VOCABULARY = {word: number for number, word in enumerate(sorted({*LANGUAGES[0], *LANGUAGES[1]}))}


class Texts(torch.utils.data.Dataset):
    """Texts of sixteen syllables, made on the spot."""

    def __init__(self, size, seed):
        chance = random.Random(seed)
        self.rows = []
        for _ in range(size):
            label = chance.randrange(2)
            text = [VOCABULARY[chance.choice(LANGUAGES[label])] for _ in range(16)]
            self.rows.append({"input_ids": torch.tensor(text), "labels": torch.tensor(label)})

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(axis=1) == prediction.label_ids).mean())}


def main():
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    args = TrainingArguments(
        output_dir="transformers_text",
        num_train_epochs=4,
        per_device_train_batch_size=32,
        learning_rate=1e-3,
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = Trainer(
        BertForSequenceClassification(config),
        args,
        train_dataset=Texts(2000, seed=0),
        eval_dataset=Texts(400, seed=1),
        compute_metrics=accuracy,
        callbacks=[Eco2AICallback()],
    )
    trainer.train()

    epochs = {}
    for row in trainer.state.log_history:
        epochs.setdefault(row["epoch"], {}).update(row)
    for number, seen in enumerate(epochs.values()):
        print(
            f"epoch {number}: loss {seen['loss']:.3f}  accuracy {seen['eval_accuracy']:.3f}  "
            f"energy {seen['eco2ai/energy_kwh'] * 1e9:7.1f} µWh  CO2 {seen['eco2ai/co2_kg'] * 1e9:6.2f} µg  "
            f"(evaluation {seen['eval_eco2ai/energy_kwh'] * 1e9:.1f} µWh)"
        )


if __name__ == "__main__":
    main()
