// Precompiled for every target that links LibTorch: one file that includes it costs half a minute otherwise.
#pragma once

#include "core/torch.hpp"

#include "core/pch.hpp"
