"""Tiny configs of the architectures that the tests go through, and what each stands for."""

from __future__ import annotations

from typing import Any

VOCAB_SIZE = 260  # 256 bytes and the special tokens of conftest's tokenizer

_SMALL = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
_SIX = {**_SMALL, "num_hidden_layers": 6, "head_dim": 8, "sliding_window": 6}
_NO_GROUPS = {k: v for k, v in _SMALL.items() if k != "num_key_value_heads"}
_GPT = {"vocab_size": VOCAB_SIZE, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256}
_WINDOW = {"head_dim": 8, "sliding_window": 6}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_MAMBA = {"vocab_size": VOCAB_SIZE, "hidden_size": 32, "state_size": 8, "num_hidden_layers": 3}
_MAMBA_PART = {"mamba_d_state": 8, "mamba_d_conv": 4, "mamba_expand": 2}
_MAMBA2_PART = {
    **_MAMBA_PART,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 16,
}
_LATENT = {
    **_SMALL,
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
_LINEAR = {
    "head_dim": 8,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "num_hidden_layers": 4,
}
_SHARED = {
    **_SIX,
    "num_kv_shared_layers": 2,
    "layer_types": ["sliding_attention", "full_attention"] * 3,
    "vocab_size_per_layer_input": VOCAB_SIZE,
    "hidden_size_per_layer_input": 8,
}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": _SMALL,
    "qwen2": _SMALL,
    "qwen3": {**_SMALL, "head_dim": 8},
    "phi3": _SMALL,
    "starcoder2": _SMALL,
    "olmo2": _SMALL,
    "granite": _SMALL,
    "stablelm": _SMALL,
    "nemotron": _SMALL,
    "gemma": {**_SMALL, "head_dim": 16},
    "gpt2": _GPT,
    "gpt_neox": _NO_GROUPS,
    "gptj": {**_GPT, "rotary_dim": 4},
    "gpt_neo": {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 6,
        "max_position_embeddings": 256,
    },
    "opt": {**_NO_GROUPS, "ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"vocab_size": VOCAB_SIZE, "hidden_size": 32, "n_layer": 3, "n_head": 4},
    "mpt": {
        "vocab_size": VOCAB_SIZE,
        "d_model": 32,
        "n_layers": 3,
        "n_heads": 4,
        "max_seq_len": 256,
    },
    "phi": {**_NO_GROUPS, "num_key_value_heads": 4},
    "persimmon": _NO_GROUPS,
    "gpt_bigcode": {**_GPT, "multi_query": True},
    "falcon": {**_NO_GROUPS, "multi_query": True},
    "mixtral": {**_SMALL, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {**_SMALL, **_EXPERTS, "head_dim": 8},
    "olmoe": {**_SMALL, "num_experts": 4, "num_experts_per_tok": 2},
    "mistral": {**_SMALL, **_WINDOW},
    "gemma2": {**_SMALL, **_WINDOW, "query_pre_attn_scalar": 8},
    "gemma3_text": {**_SIX, "query_pre_attn_scalar": 8},
    "cohere2": {**_SMALL, **_WINDOW, "num_hidden_layers": 4},
    "exaone4": {**_SMALL, **_WINDOW, "num_hidden_layers": 4, "sliding_window_pattern": 4},
    "gpt_oss": {**_SMALL, **_WINDOW, "num_local_experts": 4, "num_experts_per_tok": 2},
    "deepseek_v2": _LATENT,
    "deepseek_v3": _LATENT,
    "gemma3n_text": {**_SHARED, "laurel_rank": 4, "activation_sparsity_pattern": [0.0] * 6},
    "gemma4_text": {**_SHARED, "global_head_dim": 16},
    "qwen3_next": {**_SMALL, **_LINEAR, **_EXPERTS, "shared_expert_intermediate_size": 16},
    "qwen3_5_text": {**_SMALL, **_LINEAR},
    "minimax": {
        **_SMALL,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "block_size": 16,
        "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    },
    "mamba": _MAMBA,
    "mamba2": {**_MAMBA, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 16},
    "falcon_mamba": _MAMBA,
    "jamba": {
        **_SMALL,
        **_MAMBA_PART,
        "mamba_dt_rank": 4,
        "num_hidden_layers": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "num_experts": 4,
    },
    "bamba": {**_SMALL, **_MAMBA2_PART, "attn_layer_indices": [1]},
    "falcon_h1": {**_SMALL, **_MAMBA2_PART, "head_dim": 8, "mamba_d_ssm": 64},
    "nemotron_h": {
        **_SMALL,
        "head_dim": 8,
        "layers_block_type": ["linear_attention", "mlp", "full_attention", "moe"],
        "ssm_state_size": 8,
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "n_groups": 1,
        "chunk_size": 16,
        "n_routed_experts": 4,
        "moe_intermediate_size": 16,
        "moe_shared_expert_intermediate_size": 16,
    },
    "zamba2": {
        **_NO_GROUPS,
        **_MAMBA_PART,
        "n_mamba_heads": 8,
        "chunk_size": 16,
        "adapter_rank": 4,
        "num_hidden_layers": 4,
        "layers_block_type": ["linear_attention", "hybrid", "linear_attention", "hybrid"],
    },
    "lfm2": {
        **_SMALL,
        "block_multiple_of": 16,
        "layer_types": ["conv", "full_attention", "conv"],
    },
    "recurrent_gemma": {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 32,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "lru_width": 32,
        "attention_window_size": 8,
    },
    "rwkv": {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "context_length": 256,
    },
    "xlstm": {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_heads": 4,
        "chunk_size": 16,
    },
}

# These differ from all of the above in one thing each: decoding/memory/README.md says in which.
PECULIAR: dict[str, dict[str, Any]] = {
    "deepseek_v32": {**_LATENT, "index_head_dim": 8, "index_n_heads": 2, "index_topk": 8},
    "openai-gpt": _GPT,
}
