// Precompiled for every test program that links LibTorch.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/torch_pch.hpp"
